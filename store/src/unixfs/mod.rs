//! stub, replaced by the unixfs branch
use serde::{Deserialize, Serialize};
/// Profile
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, Default)]
pub enum Profile {
    /// default
    #[default]
    V1_2025,
    /// classic
    KuboClassicV1,
}
