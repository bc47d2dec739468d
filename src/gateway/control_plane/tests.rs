//! Against a server of this process, over real sockets.
