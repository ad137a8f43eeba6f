//! Pinfold fuse.
