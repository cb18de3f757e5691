;; Each module uses custom-page-sizes: an engine without it refuses the module.

(module (memory 10 (pagesize 1)))
