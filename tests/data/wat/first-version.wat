;; Nothing in these modules is younger than the first version of WebAssembly.

(module)

(module (func (export "f") (param i32) (result i32) (i32.add (local.get 0) (i32.const -7))))

(module
  (func (drop (i64.const -9223372036854775808)) (drop (i32.const 2147483647)) (drop (f32.const nan)) (drop (f64.const 1e300))))

(module
  (func (param i32) (result i32) (block $a (loop $b (br_if $a (local.get 0)) (br $b))) (if (result i32) (local.get 0) (then (i32.const 1)) (else (i32.const 2)))))

(module (func (param i32) (block (block (block (br_table 0 1 2 0 (local.get 0)))))))

(module (memory (export "memory") 2 5) (data (i32.const 8) "abc")
  (func (result i32) (i32.store8 offset=70000 (i32.const 0) (i32.const 1)) (drop
  (memory.grow (i32.const 1))) (memory.size)))

(module (type $t (func)) (table 2 funcref) (elem (i32.const 0) $f $f) (func $f) (func (call_indirect
  (type $t) (i32.const 0))))

(module (global $g (mut i32) (i32.const 1)) (func $s (global.set $g (i32.const 2))) (start $s))

(module (import "wasi_snapshot_preview1" "proc_exit" (func (param i32))) (import "env" "memory"
  (memory 1)) (import "env" "t" (table 1 funcref)) (import "env" "g" (global i32)))
