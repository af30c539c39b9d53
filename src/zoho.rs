//! tmp

pub mod answer;
pub mod data_center;
pub mod token;
