;; Each module uses reference-types: an engine without it refuses the module.

(module (func (param externref)))

(module (table 1 funcref) (table 1 funcref))

(module (table 1 externref) (func (result i32) (ref.is_null (table.get 0 (i32.const 0)))))

(module (func (result funcref) (ref.null func)))

(module (func (drop (select (result i32) (i32.const 1) (i32.const 2) (i32.const 3)))))

(module (table 1 funcref) (func (drop (table.grow (ref.null func) (i32.const 1)))))

(module (type $t (func)) (table 1 funcref) (table $u 1 funcref) (func (call_indirect $u
  (type $t) (i32.const 0))))
