//! The one configuration model: `fnctl.toml`, the API's JSON and the flags of the command line
//! become the same optional values; [`resolve`] turns layers of them into settings, or into all
//! problems with their paths.

pub mod canary;
pub mod duration;
pub mod filter;
pub mod function;
pub mod later;
pub mod manifest;
pub mod mapping;
pub mod nearest;
pub mod percent;
pub mod position;
pub mod reading;
pub mod request;
pub mod resolve;
pub mod setting;
pub mod size;
pub mod stream;
pub mod tree;
mod units;

pub use function::{FunctionSpec, SecretSource};
pub use manifest::{DevSpec, Manifest};
pub use mapping::MappingSpec;
pub use position::StartingPosition;
pub use setting::Setting;
pub use stream::StreamSpec;
