//! The attribute `#[stream_fn]`. Use it through `fnctl_sdk::prelude`.

use proc_macro::TokenStream;

mod expand;

/// Makes a plain function the stream function of its component.
///
/// `#[stream_fn]` is for `fn name(record: Record<'_>, cx: &mut Context) -> Result<()>`, called once a
/// record: an error is that record's own. `#[stream_fn(batch)]` is for
/// `fn name(batch: Batch<'_>, cx: &mut Context) -> Result<()>`, called once a batch: an error fails
/// the whole call.
///
/// `#[stream_fn(window, close = report)]` is for a mapping with tumbling windows: called once a record, as
/// `fn name(record: Record<'_>, state: &mut S, cx: &mut Context) -> Result<()>`, with the state of the
/// window, and at its end as `fn report(state: S, cx: &mut Context) -> Result<()>`, where rows have no
/// record. `S` is any `Default + Serialize + DeserializeOwned`: a new one begins with the window. An
/// error of `report` fails that call, which is made again.
///
/// The function stays as it is and can be called and tested natively; the glue exists
/// only on `wasm32-wasip2`. One stream function per component.
#[proc_macro_attribute]
pub fn stream_fn(arguments: TokenStream, item: TokenStream) -> TokenStream {
    expand::stream_fn(arguments.into(), item.into())
        .unwrap_or_else(|error| error.to_compile_error())
        .into()
}
