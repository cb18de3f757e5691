;; Each module uses multi-value: an engine without it refuses the module.

(module (func (result i32 i64) (i32.const 1) (i64.const 2)))

(module (func (i32.const 1) (block (param i32) (drop))))
