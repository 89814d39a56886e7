//! Tells the compiler which Python this is built for (`cfg(Py_3_14)` and the like).

fn main() {
    pyo3_build_config::use_pyo3_cfgs();
}
