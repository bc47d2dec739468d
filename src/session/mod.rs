//! L3 · One terminal and its viewer.
//!
//! [`Sessions::open`] starts to connect and returns a [`Viewer`]: input goes in, events and output come out, both over
//! bounded queues. Dropping the viewer aborts connecting or closes the terminal. The end of the shell is the viewer's
//! last event. This module has no web types: a viewer is any holder of that handle.

mod config;
mod limits;
mod observer;
mod queue;
mod registry;
mod reporter;
mod run;
#[cfg(test)]
pub(crate) mod script;
mod sessions;
#[cfg(test)]
mod tests;
mod viewer;
mod viewer_state;

pub use config::Config;
pub use observer::{Observer, Outcome, Record, SessionStep};
pub use registry::{Owner, Summary};
pub use sessions::{OpenError, Request, Reservation, Sessions};
pub use viewer::{End, Event, InputClosed, Kill, Limit, Viewer, ViewerControl, ViewerInput};
