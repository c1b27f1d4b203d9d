//! What `#[stream_fn]` becomes, and which functions it refuses. All refusals that need no types are
//! made here, at the function's name; what needs types is left to a checked constant with that span.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::{
    Error, Expr, FnArg, Ident, ItemFn, Meta, Path, Result, ReturnType, Safety, Token, Type,
    parse::Parser, punctuated::Punctuated, spanned::Spanned,
};

#[cfg(test)]
mod tests;

/// How the function is called.
enum Form {
    /// Once a record.
    Each,
    /// Once a batch.
    Whole,
    /// Once a record, with the state of its window; and what is called with the state at its end.
    Window { close: Path },
}

impl Form {
    /// The name of the first parameter's type.
    fn input(&self) -> &'static str {
        match self {
            Self::Each | Self::Window { .. } => "Record",
            Self::Whole => "Batch",
        }
    }

    fn attribute(&self) -> String {
        match self {
            Self::Each => "#[stream_fn]".to_owned(),
            Self::Whole => "#[stream_fn(batch)]".to_owned(),
            Self::Window { close } => {
                let close = quote!(#close).to_string().replace(' ', "");
                format!("#[stream_fn(window, close = {close})]")
            }
        }
    }

    /// The form that the other type of a first parameter belongs to.
    fn other(&self) -> Self {
        match self {
            Self::Each | Self::Window { .. } => Self::Whole,
            Self::Whole => Self::Each,
        }
    }

    fn signature(&self, name: &Ident) -> String {
        let (attribute, input) = (self.attribute(), self.input());
        let parameter = input.to_lowercase();
        let state = match self {
            Self::Window { .. } => "state: &mut S, ",
            Self::Each | Self::Whole => "",
        };
        format!(
            "{attribute} fn {name}({parameter}: {input}<'_>, {state}cx: &mut Context) -> Result<()>"
        )
    }
}

/// Expands the attribute, or says what is wrong with the function.
pub(crate) fn stream_fn(arguments: TokenStream, item: TokenStream) -> Result<TokenStream> {
    let function: ItemFn = syn::parse2(item.clone()).map_err(|error| {
        Error::new(error.span(), "`#[stream_fn]` stands on a function: fn name(record: Record<'_>, cx: &mut Context) -> Result<()>")
    })?;
    let name = &function.sig.ident;
    let form = form(&arguments, name)?;
    let state = check(&form, &function)?;

    let context = quote!(&mut ::fnctl_sdk::Context);
    let checked = |at, function: TokenStream, parameters: TokenStream| {
        quote_spanned! {at=>
            const _: fn(#parameters) -> ::fnctl_sdk::Result<()> = #function;
        }
    };
    let own = |parameters| checked(name.span(), quote!(#name), parameters);
    let (run, checked) = match (&form, state) {
        (Form::Window { close }, Some(state)) => {
            let own = own(quote!(::fnctl_sdk::Record<'_>, &mut #state, #context));
            let closed = checked(close.span(), quote!(#close), quote!(#state, #context));
            let bounds = quote_spanned! {state.span()=>
                const _: fn() = || {
                    fn is_state<S: ::fnctl_sdk::State>() {}
                    is_state::<#state>();
                };
            };
            (
                quote!(windowed(records, #name, #close)),
                quote!(#own #closed #bounds),
            )
        }
        (Form::Whole, _) => {
            let own = own(quote!(::fnctl_sdk::Batch<'_>, #context));
            (quote!(whole(records, #name)), own)
        }
        _ => {
            let own = own(quote!(::fnctl_sdk::Record<'_>, #context));
            (quote!(each(records, #name)), own)
        }
    };
    // A second one would clash in the linker, for wasm alone, and in words of its own.
    let only_one = quote_spanned! {name.span()=>
        #[allow(dead_code)]
        const A_COMPONENT_HAS_ONE_STREAM_FUNCTION: () = ();
    };
    Ok(quote! {
        #item
        #checked
        #only_one
        #[cfg(target_os = "wasi")]
        #[allow(unsafe_code, reason = "the exported symbols of a component")]
        const _: () = {
            use ::fnctl_sdk::__private::bindings::{self, exports::fnctl::function::handler};

            struct Component;

            impl handler::Guest for Component {
                fn handle(
                    records: handler::Records,
                ) -> ::core::result::Result<::std::vec::Vec<handler::ItemFailure>, handler::Failure>
                {
                    ::fnctl_sdk::__private::#run
                }
            }

            bindings::export!(Component with_types_in bindings);
        };
    })
}

fn form(arguments: &TokenStream, name: &Ident) -> Result<Form> {
    let refuse = |words: String| Err(Error::new(name.span(), words));
    let unknown = |option: &str| {
        refuse(format!(
            "`{option}` is no option of `stream_fn`: write `#[stream_fn]`, `#[stream_fn(batch)]` or \
             `#[stream_fn(window, close = report)]`"
        ))
    };
    let Ok(options) = Punctuated::<Meta, Token![,]>::parse_terminated.parse2(arguments.clone())
    else {
        return unknown(&arguments.to_string());
    };
    let (mut is_whole, mut is_window, mut close) = (false, false, None);
    for option in &options {
        match option {
            Meta::Path(path) if path.is_ident("batch") => is_whole = true,
            Meta::Path(path) if path.is_ident("window") => is_window = true,
            Meta::NameValue(pair) if pair.path.is_ident("close") => match &pair.value {
                Expr::Path(function) if function.qself.is_none() => {
                    close = Some(function.path.clone());
                }
                _ => return refuse("`close` names a function: `close = report`".to_owned()),
            },
            other => return unknown(&quote!(#other).to_string()),
        }
    }
    match (is_whole, is_window, close) {
        (false, false, None) => Ok(Form::Each),
        (true, false, None) => Ok(Form::Whole),
        (false, true, Some(close)) => Ok(Form::Window { close }),
        (true, true, _) => refuse(
            "a function with windows works record by record: write \
             `#[stream_fn(window, close = report)]`"
                .to_owned(),
        ),
        (false, true, None) => refuse(
            "`window` needs what is called with the state at its end: write \
             `#[stream_fn(window, close = report)]`, with `fn report(state: S, cx: &mut Context) -> \
             Result<()>`"
                .to_owned(),
        ),
        (_, false, Some(_)) => refuse(
            "`close` is the end of a window: write `#[stream_fn(window, close = report)]`".to_owned(),
        ),
    }
}

/// Refuses what the form does not have; the type of its state, where it has one.
fn check<'f>(form: &Form, function: &'f ItemFn) -> Result<Option<&'f Type>> {
    let signature = &function.sig;
    let name = &signature.ident;
    let right = form.signature(name);
    let refuse = |why: &str| Err(Error::new(name.span(), format!("{why}: write `{right}`")));

    if signature.asyncness.is_some() {
        return refuse(
            "a stream function is not `async`, each call runs to its end and the host runs many at once",
        );
    }
    let is_plain = matches!(signature.safety, Safety::Default);
    if !is_plain || signature.abi.is_some() || signature.variadic.is_some() {
        return refuse("a stream function is a plain, safe function");
    }
    if signature.generics.type_params().next().is_some()
        || signature.generics.const_params().next().is_some()
    {
        return refuse("a stream function has no type parameters");
    }
    let parameters: Vec<&Type> = signature
        .inputs
        .iter()
        .filter_map(|argument| match argument {
            FnArg::Typed(typed) => Some(&*typed.ty),
            FnArg::Receiver(_) => None,
        })
        .collect();
    if parameters.len() != signature.inputs.len() {
        return refuse("a stream function is no method");
    }
    let count = parameters.len();
    let (input, state, context) = match (form, parameters.as_slice()) {
        (Form::Window { .. }, [input, state, context]) => (input, Some(*state), context),
        (Form::Each | Form::Whole, [input, context]) => (input, None, context),
        (Form::Window { .. }, _) => {
            return refuse(&format!(
                "a stream function with windows takes three parameters, not {count}"
            ));
        }
        _ => {
            return refuse(&format!(
                "a stream function takes two parameters, not {count}"
            ));
        }
    };
    // Another type of that name, or an alias, is left to the compiler: it knows.
    if last_segment(input).is_some_and(|last| last == form.other().input()) {
        let other = form.other().attribute();
        let (has, wants) = (form.other().input(), form.input());
        return refuse(&format!(
            "`{}` calls with a `{wants}`, and `{other}` with a `{has}`",
            form.attribute()
        ));
    }
    if borrowed(context).is_none() {
        return refuse("the last parameter of a stream function is `&mut Context`");
    }
    let held = state.and_then(borrowed);
    if state.is_some() && held.is_none() {
        return refuse(
            "the second parameter of a stream function with windows is `&mut S`, the state",
        );
    }
    if matches!(signature.output, ReturnType::Default) {
        return refuse("a stream function returns `Result<()>`");
    }
    Ok(held)
}

/// The `T` of a `&mut T`.
fn borrowed(ty: &Type) -> Option<&Type> {
    match ty {
        Type::Reference(reference) if reference.mutability.is_some() => Some(&reference.elem),
        _ => None,
    }
}

fn last_segment(ty: &Type) -> Option<&Ident> {
    match ty {
        Type::Path(path) => path.path.segments.last().map(|segment| &segment.ident),
        _ => None,
    }
}
