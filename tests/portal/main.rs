//! Through the router and the operations with a real PostgreSQL of their own per test; no other server.

mod mirror;
