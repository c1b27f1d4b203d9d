use quote::quote;

use super::*;

/// The refusal of a function, and the source text its span covers.
fn refusal(arguments: TokenStream, item: TokenStream) -> String {
    match stream_fn(arguments, item) {
        Ok(tokens) => panic!("accepted: {tokens}"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn both_forms_are_accepted_and_keep_the_function() {
    let each = quote!(
        fn f(record: Record<'_>, cx: &mut Context) -> Result<()> {
            cx.forward(record)
        }
    );
    let tokens = stream_fn(quote!(), each.clone()).unwrap().to_string();
    assert!(tokens.starts_with(&each.to_string()));
    assert!(tokens.contains("each") && tokens.contains("export"));

    let whole = quote!(
        fn f(batch: fnctl_sdk::Batch<'_>, cx: &mut Context) -> Result<()> {
            Ok(())
        }
    );
    assert!(
        stream_fn(quote!(batch), whole)
            .unwrap()
            .to_string()
            .contains("whole")
    );
}

#[test]
fn an_alias_is_left_to_the_compiler() {
    let item = quote!(
        fn f(input: In<'_>, cx: &mut Cx) -> Outcome {
            todo()
        }
    );
    assert!(stream_fn(quote!(), item).is_ok());
}

#[test]
fn refusals_say_the_right_signature() {
    let each = "#[stream_fn] fn f(record: Record<'_>, cx: &mut Context) -> Result<()>";
    let whole = "#[stream_fn(batch)] fn f(batch: Batch<'_>, cx: &mut Context) -> Result<()>";
    let cases = [
        (
            quote!(),
            quote!(
                async fn f(r: Record<'_>, cx: &mut Context) -> Result<()> {}
            ),
            "not `async`",
            each,
        ),
        (
            quote!(),
            quote!(
                unsafe fn f(r: Record<'_>, cx: &mut Context) -> Result<()> {}
            ),
            "plain",
            each,
        ),
        (
            quote!(),
            quote!(
                extern "C" fn f(r: Record<'_>, cx: &mut Context) -> Result<()> {}
            ),
            "plain",
            each,
        ),
        (
            quote!(),
            quote!(
                fn f<T>(r: Record<'_>, cx: &mut Context) -> Result<()> {}
            ),
            "type parameters",
            each,
        ),
        (
            quote!(),
            quote!(
                fn f(&self, cx: &mut Context) -> Result<()> {}
            ),
            "no method",
            each,
        ),
        (
            quote!(),
            quote!(
                fn f(r: Record<'_>) -> Result<()> {}
            ),
            "two parameters, not 1",
            each,
        ),
        (
            quote!(),
            quote!(
                fn f(r: Record<'_>, cx: Context) -> Result<()> {}
            ),
            "`&mut Context`",
            each,
        ),
        (
            quote!(),
            quote!(
                fn f(r: Record<'_>, cx: &mut Context) {}
            ),
            "returns `Result<()>`",
            each,
        ),
        (
            quote!(),
            quote!(
                fn f(b: Batch<'_>, cx: &mut Context) -> Result<()> {}
            ),
            "with a `Batch`",
            each,
        ),
        (
            quote!(batch),
            quote!(
                fn f(r: Record<'_>, cx: &mut Context) -> Result<()> {}
            ),
            "with a `Record`",
            whole,
        ),
    ];
    for (arguments, item, why, right) in cases {
        let text = refusal(arguments, item);
        assert!(
            text.contains(why) && text.ends_with(&format!("write `{right}`")),
            "{text}"
        );
    }
}

#[test]
fn an_unknown_option_names_the_known_ones() {
    let item = quote!(
        fn f(r: Record<'_>, cx: &mut Context) -> Result<()> {}
    );
    assert_eq!(
        refusal(quote!(bach), item),
        "`bach` is no option of `stream_fn`: write `#[stream_fn]`, `#[stream_fn(batch)]` or `#[stream_fn(window, close = report)]`"
    );
}

#[test]
fn what_is_no_function_is_refused() {
    assert!(
        refusal(
            quote!(),
            quote!(
                struct S;
            )
        )
        .contains("stands on a function")
    );
}

#[test]
fn a_window_has_its_state_and_its_close_checked() {
    let item = quote!(
        fn count(record: Record<'_>, state: &mut Counts, cx: &mut Context) -> Result<()> {
            Ok(())
        }
    );
    for arguments in [
        quote!(window, close = reports::report),
        quote!(close = reports::report, window),
    ] {
        let tokens = stream_fn(arguments, item.clone()).unwrap().to_string();
        assert!(tokens.starts_with(&item.to_string()));
        for part in [
            "windowed (records , count , reports :: report)",
            "is_state :: < Counts >",
            "fn (Counts , & mut :: fnctl_sdk :: Context)",
        ] {
            assert!(tokens.contains(part), "{part}: {tokens}");
        }
    }
}

#[test]
fn a_window_that_is_not_whole_is_refused() {
    let item = quote!(
        fn f(record: Record<'_>, state: &mut S, cx: &mut Context) -> Result<()> {}
    );
    for (arguments, why) in [
        (quote!(window), "needs what is called"),
        (quote!(close = report), "the end of a window"),
        (quote!(batch, window, close = report), "record by record"),
        (quote!(window, close = 3), "names a function"),
        (
            quote!(window, open = report),
            "`open = report` is no option",
        ),
    ] {
        let text = refusal(arguments, item.clone());
        assert!(text.contains(why), "{text}");
    }
    let right = "#[stream_fn(window, close = report)] \
                 fn f(record: Record<'_>, state: &mut S, cx: &mut Context) -> Result<()>";
    for (item, why) in [
        (
            quote!(
                fn f(r: Record<'_>, cx: &mut Context) -> Result<()> {}
            ),
            "three parameters, not 2",
        ),
        (
            quote!(
                fn f(r: Record<'_>, s: S, cx: &mut Context) -> Result<()> {}
            ),
            "`&mut S`",
        ),
        (
            quote!(
                fn f(b: Batch<'_>, s: &mut S, cx: &mut Context) -> Result<()> {}
            ),
            "with a `Batch`",
        ),
    ] {
        let text = refusal(quote!(window, close = report), item);
        assert!(
            text.contains(why) && text.ends_with(&format!("write `{right}`")),
            "{text}"
        );
    }
}
