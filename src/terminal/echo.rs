//! A terminal that answers with what it is sent: the second implementation that keeps the traits honest.
