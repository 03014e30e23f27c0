import tseslint from 'typescript-eslint'

export default tseslint.config(
  { ignores: ['node_modules'] },
  ...tseslint.configs.strict.map((config) => ({ ...config, files: ['src/**/*.ts'] })),
  {
    files: ['src/**/*.ts'],
    languageOptions: { parserOptions: { projectService: true } },
    rules: {
      '@typescript-eslint/no-floating-promises': 'error',
      '@typescript-eslint/switch-exhaustiveness-check': 'error',
    },
  },
)
