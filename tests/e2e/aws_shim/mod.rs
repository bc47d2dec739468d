//! The program under the name `aws`: beside recorded transcripts of aws-cli v2, and where aws-cli is wrong.

mod beside;
mod bugs;
mod docs;
mod listener;
mod platform;
mod replay;
mod scene;
mod ssh;
mod terminal;
mod transcript;
