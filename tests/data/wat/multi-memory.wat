;; Each module uses multi-memory: an engine without it refuses the module.

(module (memory 1) (memory 1))

(module (memory 1) (memory $m 1) (func (drop (i32.load $m (i32.const 0))) (drop (memory.size $m))))
