//! How mappings are addressed: by id, by `<function>/<stream>`, or by the function alone while it has
//! one (command line and SDK §1).

use std::sync::Arc;

use super::Registry;
use crate::{
    id::{FunctionId, MappingId, StreamId},
    mapping::{Mapping, MappingState},
};

/// Why an address names no mapping.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Nothing answers to it.
    #[error("no mapping `{0}`")]
    NotFound(String),
    /// The function has several.
    #[error("`{address}` has {} mappings: {}", mappings.len(), mappings.join(", "))]
    Ambiguous {
        /// What was given.
        address: String,
        /// `<function>/<stream>` each.
        mappings: Vec<String>,
    },
}

impl Registry {
    /// `<function>/<stream>`, also the metric label.
    #[must_use]
    pub fn address(&self, mapping: &Mapping) -> String {
        let function = self
            .function(mapping.function)
            .map_or("?", |function| function.name.as_str());
        format!("{function}/{}", mapping.stream_name)
    }

    /// The same by its id, for a log; of one that is gone its id.
    #[must_use]
    pub fn address_of(&self, mapping: MappingId) -> String {
        let known = self.mapping(mapping);
        known.map_or_else(|| mapping.to_string(), |mapping| self.address(mapping))
    }

    /// The stream of a mapping's dead letters. They outlive their mapping: those of one that is deleted
    /// answer to its id.
    ///
    /// # Errors
    /// As [`Self::find_mapping`].
    pub fn find_letters(&self, address: &str) -> Result<StreamId, AddressError> {
        let not_found = match self.find_mapping(address) {
            Ok(mapping) => return Ok(mapping.dead_letters),
            Err(AddressError::NotFound(words)) => AddressError::NotFound(words),
            Err(ambiguous) => return Err(ambiguous),
        };
        let left = address.parse().ok().and_then(|id| {
            let name = dead_letter_stream(MappingId(id));
            self.streams()
                .find(|stream| stream.is_internal && stream.name.as_str() == name)
        });
        left.map(|stream| stream.id).ok_or(not_found)
    }

    /// The mappings of a function, by id.
    pub fn mappings_of_function(
        &self,
        function: FunctionId,
    ) -> impl Iterator<Item = &Arc<Mapping>> {
        self.mappings()
            .filter(move |mapping| mapping.function == function)
    }

    /// The mapping of an address. A function's name comes before an id; of two mappings with one
    /// address the one that has not failed is meant.
    ///
    /// # Errors
    /// None or several answer to it.
    pub fn find_mapping(&self, address: &str) -> Result<&Arc<Mapping>, AddressError> {
        let not_found = || AddressError::NotFound(address.to_owned());
        let (function, stream) = match address.split_once('/') {
            Some((function, stream)) => (function, Some(stream)),
            None => (address, None),
        };
        let Some(function) = self
            .functions()
            .find(|known| known.name.as_str() == function)
        else {
            let id = address.parse().map(MappingId).map_err(|_| not_found())?;
            return self.mapping(id).ok_or_else(not_found);
        };
        let mut found: Vec<&Arc<Mapping>> = self
            .mappings_of_function(function.id)
            .filter(|mapping| stream.is_none_or(|stream| mapping.stream_name.as_str() == stream))
            .collect();
        if found.len() > 1
            && found
                .iter()
                .any(|mapping| mapping.state != MappingState::Failed)
        {
            found.retain(|mapping| mapping.state != MappingState::Failed);
        }
        match (found.as_slice(), stream) {
            ([], _) => Err(not_found()),
            ([one], _) => Ok(one),
            // Several failed ones of one name: the latest is meant.
            ([.., last], Some(_)) => Ok(last),
            (several, None) => Err(AddressError::Ambiguous {
                address: address.to_owned(),
                mappings: several
                    .iter()
                    .map(|mapping| self.address(mapping))
                    .collect(),
            }),
        }
    }
}

/// The name of the internal stream of a mapping's dead letters.
pub(super) fn dead_letter_stream(mapping: MappingId) -> String {
    format!("fnctl.dead-letters.{mapping}")
}
