;; Each module uses sign-extension: an engine without it refuses the module.

(module (func (param i32) (result i32) (i32.extend8_s (local.get 0))))
