//! Proofs of a hostile review: each test states a promise and fails where it is broken.
