Rails.application.routes.draw do
  root to: "orders#index"
  resources :orders, only: [:index, :show, :create]
  get "/report", to: "orders#report"

  get "/up", to: "status#up"
  get "/version", to: "status#version"
  get "/env/:name", to: "status#env"
end
