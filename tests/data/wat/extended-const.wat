;; Each module uses extended-const: an engine without it refuses the module.

(module (global i32 (i32.add (i32.const 1) (i32.const 2))))
