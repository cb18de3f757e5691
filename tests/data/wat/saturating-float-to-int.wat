;; Each module uses saturating-float-to-int: an engine without it refuses the module.

(module (func (param f64) (result i64) (i64.trunc_sat_f64_u (local.get 0))))
