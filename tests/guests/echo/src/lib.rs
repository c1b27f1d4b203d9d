//! Forwards every record as it came.

use fnctl_sdk::prelude::*;

#[stream_fn]
fn echo(record: Record<'_>, cx: &mut Context) -> Result<()> {
    cx.forward(record)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_comes_back_under_its_key() {
        let out = testing::run(echo, [testing::record("x").key("k")]);
        let row = &out.rows(Output::DEFAULT)[0];
        assert_eq!(
            (row.key.as_slice(), row.data.as_slice()),
            (&b"k"[..], &b"x"[..])
        );
    }
}
