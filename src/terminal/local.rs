//! A process on a PTY of this machine.
