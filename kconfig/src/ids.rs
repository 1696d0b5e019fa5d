//! Small numbers that name what is kept in arenas.

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub(crate) struct $name(u32);

        impl $name {
            /// Names the element at `index`.
            pub(crate) fn at(index: usize) -> Self {
                Self(u32::try_from(index).expect("the limit on sizes keeps arenas below 2^32"))
            }

            /// Where the element is.
            pub(crate) fn index(self) -> usize {
                self.0 as usize
            }
        }
    )*};
}

ids! {
    /// A file that was read.
    FileId;
    /// An interned text.
    NameId;
    /// A symbol, or a constant that stands where a symbol may stand.
    SymbolId;
    /// A choice.
    ChoiceId;
    /// An entry of the menu tree.
    NodeId;
    /// An expression.
    ExprId;
}
