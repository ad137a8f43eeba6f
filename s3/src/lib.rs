//! Pinfold s3.
