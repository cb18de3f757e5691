;; Each module uses memory64: an engine without it refuses the module.

(module (memory i64 1) (func (drop (i32.load offset=4294967296 (i64.const 0)))))
