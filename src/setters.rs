//! Chainable setters of the configuration structs: they are `#[non_exhaustive]`, so that code outside the crate cannot
//! use `Config { field, ..Config::default() }` (E0639).

/// Writes one setter a field, with the field's own name: `Config::default().timeout(…).region(…)`.
macro_rules! setters {
    ($config:ty { $($(#[$attribute:meta])* $field:ident: $value:ty),+ $(,)? }) => {
        impl $config {
            $(
                $(#[$attribute])*
                #[doc = concat!("Sets [`", stringify!($field), "`](field@Self::", stringify!($field), ").")]
                #[must_use]
                pub fn $field(mut self, $field: impl Into<$value>) -> Self {
                    self.$field = $field.into();
                    self
                }
            )+
        }
    };
}

pub(crate) use setters;
