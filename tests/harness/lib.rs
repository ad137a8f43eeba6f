//! Pinfold test harness.
