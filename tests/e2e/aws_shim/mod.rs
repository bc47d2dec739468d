//! The program under the name `aws`: compared with recorded transcripts of aws-cli v2, and without its bugs.

mod aws_cli;
mod bugs;
mod docs;
mod listener;
mod platform;
mod replay;
mod scene;
mod ssh;
mod terminal;
mod transcript;
