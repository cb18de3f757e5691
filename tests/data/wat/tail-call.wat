;; Each module uses tail-call: an engine without it refuses the module.

(module (func $f (return_call $f)))

(module (type $t (func)) (table 1 funcref) (func (return_call_indirect (type $t) (i32.const 0))))
