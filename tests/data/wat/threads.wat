;; Each module uses threads: an engine without it refuses the module.

(module (memory 1 2 shared))

(module (memory 1) (func (result i32) (i32.atomic.rmw.add (i32.const 0) (i32.const 1))))

(module (func (atomic.fence)))
