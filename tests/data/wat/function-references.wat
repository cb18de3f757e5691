;; Each module uses function-references: an engine without it refuses the module.

(module (type $t (func)) (func (param (ref $t)) (call_ref $t (local.get 0))))

(module (type $t (func)) (func (param (ref null $t)) (block (br_on_null 0 (local.get 0)) (drop))))
