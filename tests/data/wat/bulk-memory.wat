;; Each module uses bulk-memory: an engine without it refuses the module.

(module (memory 1) (func (memory.copy (i32.const 0) (i32.const 1) (i32.const 2))))

(module (memory 1) (func (memory.fill (i32.const 0) (i32.const 1) (i32.const 2))))

(module (memory 1) (data "abc") (func (memory.init 0 (i32.const 0) (i32.const 0) (i32.const 1))
  (data.drop 0)))

(module (data "passive"))

(module (table 1 funcref) (elem func $f) (func $f
  (table.init 0 (i32.const 0) (i32.const 0) (i32.const 1)) (elem.drop 0)
  (table.copy (i32.const 0) (i32.const 0) (i32.const 0))))
