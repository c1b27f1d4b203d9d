//! `config`: values and secrets of the version.

use wasmtime::Result;

use super::HostState;
use crate::bindings::fnctl::function::config::Host;

impl Host for HostState {
    fn get(&mut self, name: String) -> Result<Option<String>> {
        Ok(self.version.config.get(&name).cloned())
    }

    fn secret(&mut self, name: String) -> Result<Option<Vec<u8>>> {
        Ok(self.version.secrets.get(&name).cloned())
    }
}
