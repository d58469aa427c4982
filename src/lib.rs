//! Tenure, the identity lifecycle portal: the map of its parts, from the ground up. A module uses those above it in
//! this list, never those below.

pub mod target;
