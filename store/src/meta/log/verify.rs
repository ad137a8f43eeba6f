//! Checks of a log that is not open, for `pinfold fsck`.
