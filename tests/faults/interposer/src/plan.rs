//! What the environment asks for.

/// How the last call ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum How {
    Before,
    After,
    Half,
}

/// What a call that fails answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Error(i32),
    /// A write takes half of what it is given.
    Short,
}

/// Which calls are counted for the one that fails, or is the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Of {
    All,
    Syncs,
    Writes,
}

/// See [`crate::PLAN`].
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) root: Vec<u8>,
    /// Ends with a zero, for the kernel.
    pub(crate) log: Vec<u8>,
    pub(crate) seed: u64,
    pub(crate) delay: u64,
    pub(crate) kill: u64,
    pub(crate) how: How,
    pub(crate) fault: u64,
    pub(crate) kind: Kind,
    pub(crate) is_lasting: bool,
    /// Ends with a zero; empty: never.
    pub(crate) release: Vec<u8>,
    /// Ends with a zero; empty: nothing is made.
    pub(crate) hit: Vec<u8>,
    /// Syncs of files whose path begins like this are not recorded; `None`: all are.
    pub(crate) deaf: Option<Vec<u8>>,
    pub(crate) of: Of,
    pub(crate) under: Vec<u8>,
    pub(crate) not: Vec<u8>,
    pub(crate) counts_reads: bool,
}

impl Plan {
    /// The plan that these words are; the error says which of them is none.
    pub(crate) fn parse(words: &str) -> Result<Self, String> {
        let mut plan = Self {
            root: Vec::new(),
            log: Vec::new(),
            seed: 0,
            delay: 0,
            kill: 0,
            how: How::Before,
            fault: 0,
            kind: Kind::Error(libc::EIO),
            is_lasting: false,
            release: Vec::new(),
            hit: Vec::new(),
            deaf: None,
            of: Of::All,
            under: Vec::new(),
            not: Vec::new(),
            counts_reads: false,
        };
        for word in words.split(';').filter(|word| !word.is_empty()) {
            let (key, value) = word.split_once('=').ok_or_else(|| word.to_owned())?;
            let number = || value.parse::<u64>().map_err(|_| word.to_owned());
            let path = || [value.as_bytes(), b"\0"].concat();
            match key {
                "root" => plan.root = value.as_bytes().to_vec(),
                "log" => plan.log = path(),
                "seed" => plan.seed = number()?,
                "delay" => plan.delay = number()?,
                "kill" => plan.kill = number()?,
                "fault" => plan.fault = number()?,
                "lasting" => plan.is_lasting = number()? == 1,
                "reads" => plan.counts_reads = number()? == 1,
                "hit" => plan.hit = path(),
                "deaf" => plan.deaf = Some(value.as_bytes().to_vec()),
                "release" => plan.release = path(),
                "under" => plan.under = value.as_bytes().to_vec(),
                "not" => plan.not = value.as_bytes().to_vec(),
                "how" => {
                    plan.how = match value {
                        "before" => How::Before,
                        "after" => How::After,
                        "half" => How::Half,
                        _ => return Err(word.to_owned()),
                    }
                }
                "kind" => {
                    plan.kind = match value.parse() {
                        Ok(error) => Kind::Error(error),
                        Err(_) if value == "short" => Kind::Short,
                        Err(_) => return Err(word.to_owned()),
                    }
                }
                "of" => {
                    plan.of = match value {
                        "all" => Of::All,
                        "syncs" => Of::Syncs,
                        "writes" => Of::Writes,
                        _ => return Err(word.to_owned()),
                    }
                }
                _ => return Err(word.to_owned()),
            }
        }
        if !plan.root.starts_with(b"/") || plan.log.len() < 2 {
            return Err("root and log are needed".to_owned());
        }
        Ok(plan)
    }

    /// Whether the path of a call matters, or is worth telling.
    pub(crate) const fn tells_paths_apart(&self) -> bool {
        self.fault > 0 || !self.under.is_empty() || !self.not.is_empty()
    }

    /// Whether calls on this path are counted for the one that fails, or is the last.
    pub(crate) fn is_meant(&self, path: &[u8]) -> bool {
        path.starts_with(&self.under) && (self.not.is_empty() || !path.starts_with(&self.not))
    }
}
