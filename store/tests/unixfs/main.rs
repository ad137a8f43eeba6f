//! UnixFS against published fixtures and against an independent implementation.

mod fixtures;
mod support;
