//! A cut after every single operation of a fixed history, and the same warehouse each time.
