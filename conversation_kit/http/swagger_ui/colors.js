"use strict";

// Dark or light, as the reader has it, and before anything is painted. The classes of Swagger UI stand on the root of the page.
const dark = matchMedia("(prefers-color-scheme: dark)");
const follow = () => document.documentElement.classList.toggle("dark-mode", dark.matches);
dark.addEventListener("change", follow);
follow();
