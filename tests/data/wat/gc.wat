;; Each module uses gc: an engine without it refuses the module.

(module (type $s (struct (field i8) (field (mut i32))))
  (func (drop (struct.get_u $s 0 (struct.new_default $s)))))

(module (type $a (array (mut i16))) (func (drop (array.len (array.new_default $a (i32.const 3))))))

(module (func (param anyref) (result i32) (ref.test (ref i31) (local.get 0))))

(module (func (drop (i31.get_s (ref.i31 (i32.const 3))))))

(module (rec (type $a (struct)) (type $c (sub (struct))) (type $b (sub final $c (struct)))))

(module
  (func (param anyref) (drop (block (result (ref i31)) (br_on_cast 0 anyref (ref i31) (local.get 0)) (unreachable)))))
