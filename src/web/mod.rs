//! The portal: translates HTTP to the domain's functions and back, and holds no rule of its own.

pub mod view;
