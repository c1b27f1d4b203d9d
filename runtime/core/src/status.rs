//! What `list` and `describe` answer: values as the API's JSON has them, shared by the server and the
//! command line (command line and SDK §5). Times are RFC 3339 text, durations `_ms`, sizes `_bytes`,
//! ids and sequence numbers text, absent values `null`.

mod call;
mod canary;
mod catalogue;
mod diagnosis;
mod mapping;
mod parked;
mod record;
mod shadow;
mod state;

pub use call::{
    CallFailure, CallLog, CallRecord, CallRequest, CallResult, CallRow, close_by_hand,
    window_by_hand,
};
pub use canary::{CanaryStatus, SwitchLine};
pub use catalogue::{
    DamagedLine, FunctionLine, FunctionStatus, ShardLine, StreamLine, StreamStatus, VersionLine,
};
pub use diagnosis::{Diagnosis, NextStep, RecentRates, Trend};
pub use mapping::{
    CircuitStatus, MappingLine, MappingStatus, OpenCircuits, RelayHeld, RelayStatus, SeekShard,
    SeekStatus, SettingsStatus, ShardStatus, Totals,
};
pub use parked::{GiveUpKey, GiveUpStatus, ParkedStatus, ParkedWindow, ReleaseKeys, ReleaseStatus};
pub use record::{
    CancelledRedrives, DamagedLetters, DataText, DeadLetterCode, DeadLetterStatus, Encoding,
    LogLine, PurgeStatus, PutLine, RedriveLine, RedriveStatus, RedrivingStatus, RelayedLetter,
    RetryLine, RetryStatus, TailHole, TailHoleLine, TailLine,
};
pub use shadow::{
    ShadowEnd, ShadowFailure, ShadowLine, ShadowRecord, ShadowRow, ShadowSummary, ShadowWindow,
};
pub use state::{State, state_name};
