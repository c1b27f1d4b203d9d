//! What `#[stream_fn]` becomes, and which functions it refuses. All refusals that need no types are
//! made here, at the function's name; what needs types is left to a checked constant with that span.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::{Error, FnArg, Ident, ItemFn, Result, ReturnType, Safety, Type};

#[cfg(test)]
mod tests;

/// How often the function is called.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// Once a record.
    Each,
    /// Once a batch.
    Whole,
}

impl Form {
    /// The name of the first parameter's type.
    fn input(self) -> &'static str {
        match self {
            Self::Each => "Record",
            Self::Whole => "Batch",
        }
    }

    fn attribute(self) -> &'static str {
        match self {
            Self::Each => "#[stream_fn]",
            Self::Whole => "#[stream_fn(batch)]",
        }
    }

    fn other(self) -> Self {
        match self {
            Self::Each => Self::Whole,
            Self::Whole => Self::Each,
        }
    }

    fn signature(self, name: &Ident) -> String {
        let (attribute, input) = (self.attribute(), self.input());
        let parameter = input.to_lowercase();
        format!("{attribute} fn {name}({parameter}: {input}<'_>, cx: &mut Context) -> Result<()>")
    }
}

/// Expands the attribute, or says what is wrong with the function.
pub(crate) fn stream_fn(arguments: TokenStream, item: TokenStream) -> Result<TokenStream> {
    let function: ItemFn = syn::parse2(item.clone()).map_err(|error| {
        Error::new(error.span(), "`#[stream_fn]` stands on a function: fn name(record: Record<'_>, cx: &mut Context) -> Result<()>")
    })?;
    let name = &function.sig.ident;
    let form = form(&arguments, name)?;
    check(form, &function)?;

    let (input, run) = match form {
        Form::Each => (quote!(::fnctl_sdk::Record<'_>), quote!(each)),
        Form::Whole => (quote!(::fnctl_sdk::Batch<'_>), quote!(whole)),
    };
    let checked = quote_spanned! {name.span()=>
        const _: fn(#input, &mut ::fnctl_sdk::Context) -> ::fnctl_sdk::Result<()> = #name;
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
                    ::fnctl_sdk::__private::#run(records, #name)
                }
            }

            bindings::export!(Component with_types_in bindings);
        };
    })
}

fn form(arguments: &TokenStream, name: &Ident) -> Result<Form> {
    match arguments.to_string().as_str() {
        "" => Ok(Form::Each),
        "batch" => Ok(Form::Whole),
        other => Err(Error::new(
            name.span(),
            format!(
                "`{other}` is no option of `stream_fn`: write `#[stream_fn]` or `#[stream_fn(batch)]`"
            ),
        )),
    }
}

fn check(form: Form, function: &ItemFn) -> Result<()> {
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
    let [input, context] = parameters.as_slice() else {
        return refuse(&format!(
            "a stream function takes two parameters, not {count}"
        ));
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
    if !matches!(context, Type::Reference(reference) if reference.mutability.is_some()) {
        return refuse("the second parameter of a stream function is `&mut Context`");
    }
    if matches!(signature.output, ReturnType::Default) {
        return refuse("a stream function returns `Result<()>`");
    }
    Ok(())
}

fn last_segment(ty: &Type) -> Option<&Ident> {
    match ty {
        Type::Path(path) => path.path.segments.last().map(|segment| &segment.ident),
        _ => None,
    }
}
