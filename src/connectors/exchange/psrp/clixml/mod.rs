//! .NET values as XML (MS-PSRP 2.2.5): the values, a reader and a writer.
//!
//! Type names and objects are written once and named by number after that (`TNRef`, `Ref`). The reader resolves both into
//! a tree, and charges a reference as the whole it stands for.

mod budget;
mod escape;
mod object;
mod primitive;
mod read;
mod value;
mod write;

pub use object::{Base, Object};
pub use read::read;
pub use value::Value;
pub use write::write;
