;; Each module uses mutable-globals: an engine without it refuses the module.

(module (global (export "g") (mut i32) (i32.const 0)))

(module (import "m" "g" (global (mut i64))))
