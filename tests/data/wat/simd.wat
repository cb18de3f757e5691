;; Each module uses simd: an engine without it refuses the module.

(module
  (func (result v128) (i8x16.shuffle 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 31 (v128.const i64x2 1 2) (v128.const f32x4 1 2 3 4))))

(module (memory 1) (func (drop (v128.load8_lane 3 (i32.const 0) (v128.load (i32.const 16))))))

(module (func (param v128)))

(module (global v128 (v128.const i32x4 1 2 3 4)))

(module (func (local v128)))
