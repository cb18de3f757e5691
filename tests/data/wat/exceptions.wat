;; Each module uses exceptions: an engine without it refuses the module.

(module (tag))

(module (tag $e (param i32)) (func (throw $e (i32.const 1))))

(module (func (block $h (try_table (catch_all $h)))))

(module (tag $e)
  (func (block $h (result exnref) (try_table (catch_ref $e $h)) (unreachable)) (throw_ref)))
