//! L3 · One terminal and its viewer.
//!
//! [`Sessions::open`] starts connecting at once and gives back a [`Viewer`]: what is typed goes in, news and
//! bytes come out, both over bounded queues. Dropping the viewer abandons the connection attempt or closes the
//! terminal; the shell's end reaches the viewer as its last event. No web types: a viewer is whoever holds it.

mod config;
mod limits;
mod observer;
mod queue;
mod registry;
mod run;
#[cfg(test)]
pub(crate) mod script;
mod sessions;
#[cfg(test)]
mod tests;
mod told;
mod viewer;
mod wishes;

pub use config::Config;
pub use observer::{Observer, Outcome, Record, Step};
pub use registry::{Owner, Summary};
pub use sessions::{OpenError, Place, Request, Sessions};
pub use viewer::{End, Event, InputClosed, Kill, Limit, Viewer, ViewerControl, ViewerInput};
