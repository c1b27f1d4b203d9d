mod canaries;
mod copies;
mod deletion;
mod history;
mod life_cycle;
mod mappings;
mod notes;
mod resharding;
mod versions;

use std::{collections::BTreeMap, sync::Arc};

use serde_json::json;

use super::*;
use crate::{
    function::SecretValue,
    id::{FunctionVersion, Ordinal, OutputName, ShardNumber, Timestamp},
    mapping::{MappingState, OutputBinding},
    spec::resolve::StreamSettings,
};

#[derive(Default)]
struct FakeTails {
    last: u64,
    horizon: u64,
    last_arrival: u64,
    open: u64,
}

impl Tails for FakeTails {
    fn last(&self, _: StreamId, _: ShardNumber) -> Ordinal {
        Ordinal(self.last)
    }
    fn before_horizon(&self, _: StreamId, _: ShardNumber) -> Ordinal {
        Ordinal(self.horizon)
    }
    fn last_arrival(&self, _: StreamId) -> Timestamp {
        Timestamp(self.last_arrival)
    }
    fn open_dead_letters(&self, _: MappingId) -> u64 {
        self.open
    }
}

/// A catalogue with a clock that advances by a second a command.
#[derive(Default)]
struct Bench {
    registry: Registry,
    tails: FakeTails,
    now: u64,
}

impl Bench {
    fn ask(&self, command: &Command) -> Result<Evaluated, Refusal> {
        self.registry
            .evaluate(command, &self.tails, Timestamp(self.now))
    }

    fn run(&mut self, command: &Command) -> Result<Applied, Refusal> {
        self.now += 1_000;
        let evaluated = self.ask(command)?;
        if let Some(change) = &evaluated.change {
            self.registry.apply(change);
            let once = self.registry.clone();
            self.registry.apply(change);
            assert_eq!(
                once, self.registry,
                "a change applied twice is applied once"
            );
        }
        Ok(evaluated.applied)
    }

    fn deploy(&mut self, deploy: Deploy) -> Result<Deployed, Refusal> {
        match self.run(&Command::Deploy(Box::new(deploy)))? {
            Applied::Deployed(deployed) => Ok(*deployed),
            other => panic!("a deploy says {other:?}"),
        }
    }

    fn mapping(&self, address: &str) -> &Mapping {
        self.registry.find_mapping(address).unwrap()
    }
}

fn component(digest: &str, outputs: &[&str]) -> ComponentFacts {
    ComponentFacts {
        digest: digest.into(),
        bytes: 10,
        outputs: outputs
            .iter()
            .map(|name| OutputName::parse(name).unwrap())
            .collect(),
        uses: vec![],
    }
}

/// A deploy of bytes `digest` with a mapping's layer.
fn deploy(digest: &str, mapping: serde_json::Value) -> Deploy {
    Deploy {
        function: FunctionName::parse("enrich").unwrap(),
        component: Some(component(digest, &["default"])),
        spec: Default::default(),
        mappings: match mapping {
            serde_json::Value::Null => vec![],
            serde_json::Value::Array(all) => all
                .into_iter()
                .map(|one| serde_json::from_value(one).unwrap())
                .collect(),
            one => vec![serde_json::from_value(one).unwrap()],
        },
        streams: BTreeMap::new(),
        new_streams: Default::default(),
        secrets: BTreeMap::new(),
        is_manifest: false,
        unset: vec![],
        allow_loop: false,
        found: vec![],
        mapping_is: None,
        canary: None,
    }
}

fn name(text: &str) -> StreamName {
    StreamName::parse(text).unwrap()
}

fn function() -> FunctionName {
    FunctionName::parse("enrich").unwrap()
}

fn deployed() -> Bench {
    let mut bench = Bench::default();
    bench
        .deploy(deploy("a", json!({"stream": "signups"})))
        .unwrap();
    bench
}
